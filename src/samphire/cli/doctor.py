"""``samphire doctor``: what is installed, what can run, and whether it gives the right mask."""

import json
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import click

from samphire.cli.parsing import device_option, json_option

EXTRAS = {
    "torch": ("torch",),
    "onnx": ("onnxruntime",),
    "medical": ("nibabel", "scipy"),
    "fast": ("numba",),
}
PACKAGES = ("numpy", "pillow", "opencv-python-headless", "safetensors", "torch")
# What the published model gives for the demo's click with the default model: pixels of the mask.
SELF_TEST_AREA, SELF_TEST_TOLERANCE = 23_596, 0.01


@click.command(short_help="Versions, devices, cache, and a timed self-test.")
@device_option
@json_option
def doctor(device: str, as_json: bool) -> int:
    """Versions, devices, cache, extras, and a timed self-test; exits 1 if that fails.

    \b
    Example:
      samphire doctor --json > report.json
    """
    report: dict[str, Any] = {
        "samphire": version("samphire"),
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.platform()}, {os.cpu_count()} CPUs",
        "packages": {name: _version(name) for name in PACKAGES},
        "extras": {name: _extra(modules) for name, modules in EXTRAS.items()},
        "devices": _devices(),
        "cache": _cache(),
        "self_test": _self_test(device),
    }
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        _print(report)
    return 1 if report["self_test"]["result"] == "bad" else 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _extra(modules: tuple[str, ...]) -> str:
    missing = [module for module in modules if find_spec(module) is None]
    return f"missing {', '.join(missing)}" if missing else "installed"


def _devices() -> list[str]:
    """What can compute, as ``--device`` names it."""
    if find_spec("torch") is None:
        return []
    from samphire.engines.torch_engine import devices

    return devices()


def _cache() -> dict[str, Any]:
    from samphire.cache import Cache, cache_dir, shown_bytes
    from samphire.formats.embedding_cache import shared_folder
    from samphire.weights.catalog import CATALOG
    from samphire.weights.store import is_cached

    return {
        "folder": str(cache_dir()),
        "embeddings": shown_bytes(Cache(shared_folder()).used_bytes()),
        "models": {name: is_cached(entry) for name, entry in CATALOG.items()},
    }


def _self_test(device: str) -> dict[str, Any]:
    """The demo's click, timed, against the area that the published model gives."""
    from samphire.errors import SamphireError
    from samphire.weights.catalog import CATALOG
    from samphire.weights.store import is_cached

    if find_spec("torch") is None:
        return {"result": "bad", "reason": "no engine: pip install 'samphire[torch]'"}
    if not is_cached(CATALOG["vit_t"]):
        return {"result": "left out", "reason": "no weights: samphire models fetch vit_t"}
    try:
        return _timed_click(device)
    except SamphireError as error:
        return {"result": "bad", "reason": str(error)}


def _timed_click(device: str) -> dict[str, Any]:
    from samphire.cli.demo import CLICK, demo_photo
    from samphire.engines.load import load
    from samphire.predict.embed import embed
    from samphire.predict.prompted import segment

    seconds = {}
    started = time.perf_counter()
    engine = load("vit_t", device=device, offline=True)
    seconds["load"] = time.perf_counter() - started
    started = time.perf_counter()
    embedding = embed(engine, demo_photo())
    seconds["embed"] = time.perf_counter() - started
    started = time.perf_counter()
    masks = segment(engine, embedding, points=[CLICK])
    seconds["click"] = time.perf_counter() - started
    area = int(masks.area[0])
    good = abs(area - SELF_TEST_AREA) <= SELF_TEST_TOLERANCE * SELF_TEST_AREA
    return {
        "result": "good" if good else "bad",
        "reason": "" if good else f"a mask of {area} pixels: expected {SELF_TEST_AREA}",
        "engine": str(engine.info),
        "seconds": {step: round(value, 3) for step, value in seconds.items()},
    }


def _print(report: dict[str, Any]) -> None:
    for name, value in report.items():
        if isinstance(value, dict):
            click.echo(f"{name}:")
            for key, item in value.items():
                shown = item
                if isinstance(item, dict):
                    shown = ", ".join(f"{k} {v}" for k, v in item.items())
                click.echo(f"  {key:<24} {shown}")
        elif isinstance(value, list):
            click.echo(f"{name}: {', '.join(value) or 'none'}")
        else:
            click.echo(f"{name}: {value}")
