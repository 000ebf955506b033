"""A cluster of two worker processes, on this machine."""

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import Client, LocalCluster
from PIL import Image

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import Home
from monuseg_cli.core.progress import SILENT
from monuseg_cli.models.weights import read_card
from monuseg_cli.outputs.plan import OutputSpec
from monuseg_cli.prediction.batch import predict
from monuseg_cli.prediction.config import PredictConfig
from monuseg_cli.prediction.dask import run_on_cluster
from monuseg_cli.prediction.image_job import Job
from support.tissue import draw_tissue

IMAGES = 8


@pytest.fixture
def config(trained_home: Home, tmp_path: Path) -> PredictConfig:
    folder = tmp_path / "slides"
    folder.mkdir()
    for number in range(IMAGES):
        Image.fromarray(draw_tissue(300, seed=number)[0]).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    weights = trained_home.find_weights("unet-se")
    return PredictConfig((folder,), OutputSpec((str(tmp_path / "out"),)), weights, tmp_path / "cache", engine="torch")


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_worker_is_killed_and_nothing_is_lost_or_done_twice(config: PredictConfig, tmp_path: Path) -> None:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,  # type: ignore[no-untyped-call] # Dask's
        Client(cluster) as client,  # type: ignore[no-untyped-call] # Dask's
    ):
        workers = list(client.run(os.getpid).values())
        out = tmp_path / "out"

        def kill_one() -> None:
            while not list(out.glob("*.png")):
                time.sleep(0.01)
            os.kill(workers[0], signal.SIGKILL)

        killer = threading.Thread(target=kill_one)
        killer.start()
        on_cluster = replace(config, scheduler=cluster.scheduler_address)
        result = predict(on_cluster)
        killer.join()
        again = predict(on_cluster)
    done = [one.outputs.image.name for one in result.predictions] + [one.image.name for one in result.skipped]
    assert sorted(done) == [f"{number}.png" for number in range(IMAGES)]
    assert [(path.name, type(error)) for path, error in result.failures] == [("broken.png", InputError)]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        name for number in range(IMAGES) for name in (f"{number}.png", f"{number}.png.monuseg.json")
    )
    assert len(again.skipped) == IMAGES


def test_an_address_without_a_scheduler_is_refused(config: PredictConfig) -> None:
    job = Job(config, read_card(config.weights), "0" * 64)
    with pytest.raises(InputError, match="no Dask scheduler answers at tcp://"):
        next(iter(run_on_cluster("tcp://127.0.0.1:9", job, [], SILENT, timeout_s=1)))
