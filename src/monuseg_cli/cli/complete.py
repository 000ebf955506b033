"""Shell completion of option values; only names that are cheap to find."""

import typer

from monuseg_cli.core.home import Home


def architectures() -> list[tuple[str, str]]:
    """List the architectures, each with its summary."""
    from monuseg_cli.models import registry

    return [(name, registry.get(name).summary) for name in registry.names()]


def recipes() -> list[str]:
    """List the built-in recipes."""
    from monuseg_cli.training.recipes import BUILT_IN

    return list(BUILT_IN)


def runs(context: typer.Context) -> list[str]:
    """List the runs of the home given on the command line, or else of the default home."""
    return list(Home.resolve(context.params.get("home")).run_names())


def weights(context: typer.Context) -> list[str]:
    """List the names of models and runs."""
    return list(Home.resolve(context.params.get("home")).weights_names())
