"""Nuclei in H&E tissue: data, training, evaluation and prediction around MoNuSeg 2018.

The names in `__all__` are for notebooks and pipelines. They are imported when they are first used::

    import monuseg_cli as monuseg

    model = monuseg.load()
    result = model.predict(image, mpp=0.25)
    result.labels, result.probability, result.nuclei

All errors that are caused by the input or by the machine are a `MonusegError`; the message says what to do::

    MonusegError
    ├── InputError          a file, array or setting that cannot be used (also a ValueError)
    ├── MissingError        something that does not exist (also a FileNotFoundError)
    ├── OutputError         a result that cannot be written (also an OSError)
    ├── DownloadError       a failed download (also a ConnectionError)
    ├── VerificationError   a file whose hash is not the published one (also a ValueError)
    ├── ContaminationError  an evaluation on cases that the model was trained on (also a ValueError)
    └── TrainingError       a training that cannot continue (also an ArithmeticError)
"""

TYPE_CHECKING = False  # type checkers assume True; importing it from typing would take longer than all the rest

if TYPE_CHECKING:
    from monuseg_cli.api import (
        Model,
        NucleusTable,
        Scores,
        Segmentation,
        Slide,
        draw_outlines,
        evaluate,
        load,
        measure,
        open_slide,
        train,
    )
    from monuseg_cli.core.errors import (
        ContaminationError,
        DownloadError,
        InputError,
        MissingError,
        MonusegError,
        OutputError,
        TrainingError,
        VerificationError,
    )

__version__ = "0.1.0"

__all__ = [
    "ContaminationError",
    "DownloadError",
    "InputError",
    "MissingError",
    "Model",
    "MonusegError",
    "NucleusTable",
    "OutputError",
    "Scores",
    "Segmentation",
    "Slide",
    "TrainingError",
    "VerificationError",
    "__version__",
    "draw_outlines",
    "evaluate",
    "load",
    "measure",
    "open_slide",
    "train",
]


if not TYPE_CHECKING:  # type checkers would take any name for known

    def __getattr__(name: str) -> object:
        """Import a name in `__all__` when it is first used (PEP 562)."""
        if name not in __all__:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        from importlib import import_module

        module = import_module(f"{__name__}.core.errors" if name.endswith("Error") else f"{__name__}.api")
        globals()[name] = found = getattr(module, name)
        return found


def __dir__() -> list[str]:
    """List all names, also those that were not used yet."""
    return sorted({*globals(), *__all__})
