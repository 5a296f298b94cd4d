"""The language: what an optimizer program can say, and every way of reading one."""

from primitives import arithmetic as _arithmetic
from primitives import lion as _lion
from primitives import logic as _logic
from primitives import matrix as _matrix
from primitives import oracles as _oracles
from primitives import reductions as _reductions
from primitives.errors import ProgramError
from primitives.kinds import SCALAR, TENSOR, Kind
from primitives.program import Hyperparameter, Instruction, Program, State
from primitives.registry import PRIMITIVES, Primitive, primitive
from primitives.text import load, parse

del _arithmetic, _lion, _logic, _matrix, _oracles, _reductions

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
