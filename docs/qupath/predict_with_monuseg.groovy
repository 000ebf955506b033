// Finds nuclei with monuseg in the open image, or inside its selected annotations, and imports them as detections with
// measurements and classes. For QuPath 0.5 and 0.6; monuseg must be installed on the same computer.

import java.nio.file.Files
import qupath.lib.common.GeneralTools
import qupath.lib.io.GsonTools
import static qupath.lib.gui.scripting.QPEx.*

// The program. If QuPath does not find it, give its full path, as `which monuseg` (Windows: `where monuseg`) prints it.
def monuseg = "monuseg"

// Further options of `monuseg predict`, such as ["--threshold", "0.4", "--classes", "/path/to/skin.classes"].
def options = []

// Whether detections that are already there are removed, as by QuPath's own cell detection.
def replace = true

def server = getCurrentServer()
def image = server.getURIs().collect { GeneralTools.toPath(it) }
if (image.size() != 1 || image[0] == null)
    throw new IllegalArgumentException("monuseg reads local files; this image is " + server.getURIs())
if (server.getClass().getSimpleName() =~ /Rotated|Flipped|Affine|Crop/)
    throw new IllegalArgumentException("The image is rotated, transformed or cropped in QuPath; open it as it is")

// The files go to the folder `monuseg` of the project. Without a project, they are temporary.
def folder = getProject() ? buildFilePath(PROJECT_BASE_DIR, "monuseg") : Files.createTempDirectory("monuseg").toString()
mkdirs(folder)
def base = buildFilePath(folder, image[0].getFileName().toString())
def nuclei = base + ".geojson"
def command = [monuseg, "predict", image[0].toString(), "-o", nuclei]

def areas = getSelectedObjects().findAll { it.isAnnotation() && it.getROI().isArea() }
if (areas) {
    def regions = base + ".regions.geojson"
    exportObjectsToGeoJson(areas, regions, "FEATURE_COLLECTION")
    command += ["--roi", regions]
}
def calibration = server.getPixelCalibration()
if (calibration.hasPixelSizeMicrons())
    command += ["--mpp", calibration.getAveragedPixelSizeMicrons().toString()]
command = (command + options).collect { it.toString() }

println command.join(" ")
def process = new ProcessBuilder(command).redirectErrorStream(true).start()
process.getInputStream().eachLine("UTF-8") { println it }
if (process.waitFor() != 0)
    throw new IllegalStateException("monuseg ended with exit code " + process.exitValue() + "; its message is above")

// Of a file with several images, QuPath may show another one than monuseg reads.
def record = new File(nuclei + ".monuseg.json").getText("UTF-8")
def found = GsonTools.getInstance().fromJson(record, Map.class).found
def size = [found.width as int, found.height as int]
if (size != [server.getWidth(), server.getHeight()])
    throw new IllegalStateException("monuseg read an image of " + size.join(" x ") + " pixels, and QuPath shows one of " +
        server.getWidth() + " x " + server.getHeight() + "; choose it with the option --series")

if (replace) {
    def earlier = getDetectionObjects().findAll { detection ->
        def roi = detection.getROI()
        !areas || areas.any { it.getROI().contains(roi.getCentroidX(), roi.getCentroidY()) }
    }
    removeObjects(earlier, true)
}
importObjectsFromFile(nuclei)
resolveHierarchy()
def count = found.nuclei as int
println count + " nuclei imported from " + nuclei
