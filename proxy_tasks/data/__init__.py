"""Data that tasks share, each with its licence, and loaders for data that users bring."""

from proxy_tasks.data.arrays import npz
from proxy_tasks.data.cifar import cifar10, cifar100
from proxy_tasks.data.hub import huggingface
from proxy_tasks.data.idx import mnist
from proxy_tasks.data.reading import DataError
from proxy_tasks.data.tables import csv
from proxy_tasks.data.texts import text

__all__ = ["DataError", "cifar10", "cifar100", "csv", "huggingface", "mnist", "npz", "text"]
