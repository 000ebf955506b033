"""The script for QuPath in docs/qupath: its command runs; with Groovy, it is run with QuPath's functions replaced."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tifffile

from conftest import Monuseg
from support.classes import box, classified, write_features
from support.groovy import groovy_environment, needs_groovy
from support.qupath import read_objects
from support.tissue import draw_tissue

SCRIPT = Path(__file__).parents[2] / "docs" / "qupath" / "predict_with_monuseg.groovy"
SIZE = 150

# QuPath cannot be installed from a package registry. These stand for the functions that the script calls, with the
# signatures of QuPath 0.5 and 0.6 (qupath/lib/scripting/QP.java), on an image with an annotation on its left side.
STANDS = {
    "qupath/lib/common/GeneralTools.groovy": """
package qupath.lib.common
class GeneralTools {
    static java.nio.file.Path toPath(URI uri) { uri.getScheme() == "file" ? java.nio.file.Paths.get(uri) : null }
}
""",
    "qupath/lib/io/GsonTools.groovy": """
package qupath.lib.io
class GsonTools {
    static GsonTools getInstance() { new GsonTools() }
    def fromJson(String text, Class<?> kind) {
        assert kind == Map
        numbers(new groovy.json.JsonSlurper().parseText(text))
    }
    private numbers(value) {  // Gson reads all numbers as double
        value instanceof Map ? value.collectEntries { key, inside -> [key, numbers(inside)] } :
            value instanceof Number ? value.doubleValue() : value
    }
}
""",
    "qupath/lib/gui/scripting/QPEx.groovy": """
package qupath.lib.gui.scripting
class ROI {
    double x, y
    boolean isArea() { true }
    double getCentroidX() { x }
    double getCentroidY() { y }
    boolean contains(double x, double y) { x < 75 }
}
class PathObject {
    ROI roi
    boolean isAnnotation() { true }
    ROI getROI() { roi }
}
class PixelCalibration {
    boolean hasPixelSizeMicrons() { true }
    double getAveragedPixelSizeMicrons() { 0.25 }
}
class OpenslideImageServer {
    Collection<URI> getURIs() { [new URI(System.getenv("IMAGE"))] }
    PixelCalibration getPixelCalibration() { new PixelCalibration() }
    int getWidth() { System.getenv("SHOWN") as int }
    int getHeight() { 150 }
}
class RotatedImageServer extends OpenslideImageServer {}
class QPEx {
    static final String PROJECT_BASE_DIR = "{%PROJECT}"
    static Object getProject() { System.getenv("PROJECT") }
    static String buildFilePath(String first, String... more) {
        ([first.replace(PROJECT_BASE_DIR, System.getenv("PROJECT"))] + more.toList()).join(File.separator)
    }
    static boolean mkdirs(String path) { new File(path).mkdirs() }
    static Object getCurrentServer() {
        System.getenv("ROTATED") ? new RotatedImageServer() : new OpenslideImageServer()
    }
    static Collection<PathObject> getSelectedObjects() {
        System.getenv("SELECTED") ? [new PathObject(roi: new ROI(x: 40, y: 70))] : []
    }
    static Collection<PathObject> getDetectionObjects() {
        [50, 100].collect { new PathObject(roi: new ROI(x: it, y: 9)) }
    }
    static void exportObjectsToGeoJson(Collection<PathObject> objects, String path, String option, String... more) {
        assert option == "FEATURE_COLLECTION"
        new File(path).bytes = new File(System.getenv("ANNOTATION")).bytes
    }
    static void removeObjects(Collection<PathObject> objects, boolean keepChildren) {
        println "removed " + objects.collect { it.getROI().getCentroidX() as int }
    }
    static boolean importObjectsFromFile(String path) { println "imported " + path; true }
    static void resolveHierarchy() { println "resolved" }
}
""",
}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    tifffile.imwrite(tmp_path / "a slide.tif", draw_tissue(SIZE, seed=3)[0])
    write_features(tmp_path / "left.geojson", [classified(box(0, 0, SIZE, 75), "left")])
    (tmp_path / "monuseg.toml").write_text('[predict]\nengine = "torch"\ndevice = "cpu"\n', encoding="utf-8")
    return tmp_path / "a slide.tif"


def test_the_command_of_the_script_runs(monuseg: Monuseg, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words are taken out of the script as they are."""
    monkeypatch.chdir(picture.parent)
    (written,) = re.findall(r"def command = \[monuseg, (.*)\]", SCRIPT.read_text(encoding="utf-8"))
    added = re.findall(r'command \+= \["(--[\w-]+)", (.*)\]', SCRIPT.read_text(encoding="utf-8"))
    values = {
        "image[0].toString()": str(picture),
        "nuclei": "n.geojson",
        "regions": "left.geojson",
        "calibration.getAveragedPixelSizeMicrons().toString()": "0.25",
    }
    words = [values.get(word) or str(json.loads(word)) for word in written.split(", ")]
    words += [word for option, value in added for word in (option, values[value])]
    assert words == ["predict", str(picture), "-o", "n.geojson", "--roi", "left.geojson", "--mpp", "0.25"]
    done = monuseg(*words)
    assert done.exit_code == 0, done.stderr
    objects = read_objects(Path("n.geojson"))
    assert len(objects) > 5
    assert {one.metadata["region"] for one in objects} == {"left"}
    assert all(one.roi.centroid.x < 75 for one in objects)
    found = json.loads(Path("n.geojson.monuseg.json").read_text(encoding="utf-8"))["found"]
    assert (found["width"], found["height"], found["nuclei"]) == (SIZE, SIZE, len(objects))


@pytest.fixture
def groovy(picture: Path) -> dict[str, str]:
    """The environment of the script, and the classes that stand for QuPath."""
    for name, text in STANDS.items():
        path = picture.parent / "stands" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    programs = picture.parent / "bin"
    programs.mkdir()
    (programs / "monuseg").write_text(f'#!/bin/sh\nexec {sys.executable} -m monuseg_cli "$@"\n', encoding="utf-8")
    (programs / "monuseg").chmod(0o755)
    return {
        **groovy_environment(),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "IMAGE": picture.as_uri(),
        "SHOWN": str(SIZE),
        "PROJECT": str(picture.parent / "a project"),
        "ANNOTATION": str(picture.parent / "left.geojson"),
    }


def run(folder: Path, environment: dict[str, str], **more: str) -> tuple[int, str]:
    words = ["groovy", "-cp", str(folder / "stands"), str(SCRIPT)]
    done = subprocess.run(words, cwd=folder, env={**environment, **more}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@needs_groovy
def test_the_script_predicts_and_imports(picture: Path, groovy: dict[str, str]) -> None:
    folder, made = picture.parent, picture.parent / "a project" / "monuseg" / "a slide.tif.geojson"
    code, said = run(folder, groovy)
    assert code == 0, said
    whole = read_objects(made)
    assert f"removed [50, 100]\nimported {made}\nresolved\n{len(whole)} nuclei imported from {made}\n" in said
    code, said = run(folder, groovy, SELECTED="1")
    assert code == 0, said
    inside = read_objects(made)
    assert 5 < len(inside) < len(whole)
    assert f"removed [50]\nimported {made}\nresolved\n{len(inside)} nuclei imported" in said


@pytest.mark.slow
@needs_groovy
@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"SHOWN": "151"}, "monuseg read an image of 150 x 150 pixels, and QuPath shows one of 151 x 150"),
        ({"ROTATED": "1"}, "The image is rotated, transformed or cropped in QuPath"),
        (
            {"IMAGE": "https://example.org/a.tif"},
            "monuseg reads local files; this image is [https://example.org/a.tif]",
        ),
        ({"IMAGE": "file:///missing.tif"}, "monuseg ended with exit code 4; its message is above"),
    ],
)
def test_the_script_imports_nothing_that_does_not_fit(
    picture: Path, groovy: dict[str, str], more: dict[str, str], message: str
) -> None:
    code, said = run(picture.parent, groovy, **more)
    assert code != 0
    assert message in said
    assert "imported" not in said
    assert "removed" not in said
