"""The language: what an optimizer program can say, and every way of reading one."""

from primitives.errors import ProgramError
from primitives.families import arithmetic as _arithmetic
from primitives.families import lion as _lion
from primitives.families import logic as _logic
from primitives.families import matrix as _matrix
from primitives.families import oracles as _oracles
from primitives.families import reductions as _reductions
from primitives.kinds import SCALAR, TENSOR, Kind
from primitives.parse import load, parse
from primitives.program import Program
from primitives.registry import PRIMITIVES, Primitive, primitive
from primitives.statements import Hyperparameter, Instruction, State

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
