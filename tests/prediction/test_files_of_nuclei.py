from pathlib import Path

from PIL import Image

from conftest import Told
from monuseg_cli.core.home import Home
from monuseg_cli.outputs.plan import Outputs, OutputSpec, plan_outputs
from monuseg_cli.prediction.batch import predict
from monuseg_cli.prediction.config import PredictConfig
from monuseg_cli.prediction.files_of_nuclei import FilesOfNuclei
from support.tissue import draw_tissue


def test_a_folder_is_listed_once_and_files_are_found_by_their_image(trained_home: Home, tmp_path: Path) -> None:
    weights = trained_home.find_weights("unet-se")

    def keep(image: str, name: str) -> Outputs:
        Image.fromarray(draw_tissue(96, seed=1)[0]).save(tmp_path / image)
        outputs = OutputSpec((str(tmp_path / "out" / name),))
        predict(PredictConfig((tmp_path / image,), outputs, weights, tmp_path / "cache", engine="torch"))
        return plan_outputs([tmp_path / image], outputs)[0]

    of_a = keep("a.png", "x.parquet")
    files = FilesOfNuclei()
    assert list(files.of(of_a, Told())) == [tmp_path / "out" / "x.parquet"]
    of_b = keep("b.png", "y.parquet")
    assert list(files.of(of_b, Told())) == []
    assert list(FilesOfNuclei().of(of_b, Told())) == [tmp_path / "out" / "y.parquet"]
    assert list(files.of(of_a, Told())) == [tmp_path / "out" / "x.parquet"]
