"""What a shell proposes for the values of options; only names that are cheap to find."""

import typer

from monuseg_cli.core.home import Home


def architectures() -> list[tuple[str, str]]:
    """List the architectures, each with its line."""
    from monuseg_cli.models import registry

    return [(name, registry.get(name).summary) for name in registry.names()]


def recipes() -> list[str]:
    """List the built-in recipes."""
    from monuseg_cli.training.recipes import BUILT_IN

    return list(BUILT_IN)


def runs(context: typer.Context) -> list[str]:
    """List the runs of the home that is typed, or else the usual one."""
    return list(Home.resolve(context.params.get("home")).run_names())


def weights(context: typer.Context) -> list[str]:
    """List the names of models and runs."""
    return list(Home.resolve(context.params.get("home")).weights_names())
