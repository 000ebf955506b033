"""The files on all images of a prediction together: the report, and the tables of images and of regions."""

from collections.abc import Mapping, Sequence

from monuseg_cli.classes.card import Colour
from monuseg_cli.outputs.plan import BatchOutputs
from monuseg_cli.outputs.spreadsheet import Row
from monuseg_cli.outputs.summary_tables import failure_row, region_rows, summary_row, write_regions, write_summary
from monuseg_cli.prediction.image_job import Outcome


def write_batch_files(
    files: BatchOutputs, outcomes: Sequence[Outcome], model: str, colours: Mapping[str, Colour]
) -> None:
    """Write the requested files.

    Parameters
    ----------
    files : BatchOutputs
        Which ones.
    outcomes : sequence of Outcome
        Outcome of each image; that of an image that was done before is read from its record.
    model : str
        A line on the model.
    colours : mapping of str to Colour
        Colours of the classes; empty without a classifier.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    if files.report:
        from monuseg_cli.reports.batch_report import BatchReportInput, write_batch_report  # imported only for reports

        predictions = [one.prediction for one in outcomes if one.prediction]
        failures = [(one.outputs.image, one.error) for one in outcomes if one.error]
        write_batch_report(files.report, BatchReportInput(predictions, failures, model, colours))
    regions = [row for one in outcomes for row in _regions_of(one)]
    if files.summary:
        found = [one.prediction.classes for one in outcomes if one.prediction]
        classes = tuple(dict.fromkeys(name for counts in found for name in counts))
        write_summary(files.summary, [_summary_of(one, classes) for one in outcomes], regions, classes)
    if files.roi_summary:
        write_regions(files.roi_summary, regions)


def _summary_of(outcome: Outcome, classes: Sequence[str]) -> Row:
    image, found, error = str(outcome.outputs.image), outcome.prediction, outcome.error
    if found:
        return summary_row(image, found.facts(), outcome.status, found.seconds, classes)
    return failure_row(image, error.exit_code if error else 1, str(error), classes)


def _regions_of(outcome: Outcome) -> list[Row]:
    if not outcome.prediction:
        return []
    return region_rows(str(outcome.outputs.image), outcome.prediction.facts()["rois"])
