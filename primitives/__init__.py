"""The language: what an optimizer program can say, and every way of reading one."""

from primitives import families  # noqa: F401  (they register the primitives)
from primitives.errors import ProgramError
from primitives.kinds import SCALAR, TENSOR, Kind
from primitives.parse import load, parse
from primitives.program import Program
from primitives.registry import PRIMITIVES, Primitive, primitive
from primitives.statements import Hyperparameter, Instruction, State

__all__ = [
    "PRIMITIVES",
    "SCALAR",
    "TENSOR",
    "Hyperparameter",
    "Instruction",
    "Kind",
    "Primitive",
    "Program",
    "ProgramError",
    "State",
    "load",
    "parse",
    "primitive",
]
