"""ROS parameters, declared from `NodeConfig` and read back into it."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, ParameterType
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node

from ..config import PARAMETERS, NodeConfig, Parameter, node_config
from ..errors import ConfigError

_TYPES = {
    bool: ParameterType.PARAMETER_BOOL,
    int: ParameterType.PARAMETER_INTEGER,
    float: ParameterType.PARAMETER_DOUBLE,
    str: ParameterType.PARAMETER_STRING,
    tuple: ParameterType.PARAMETER_STRING_ARRAY,
}
_FROM_ELSEWHERE = ("use_sim_time", "start_type_description_service", "qos_overrides", "enable_logger_service")


def read_config(node: Node) -> NodeConfig:
    """Declare every parameter on the node and return the values it was started with.

    Raises `ConfigError` for a value of the wrong type or out of range; says so for names that the node does not know.
    """
    values = {parameter.name: _declare(node, parameter) for parameter in PARAMETERS}
    known = {*values, *_FROM_ELSEWHERE}
    for name in getattr(node, "_parameter_overrides", {}):
        if name.split(".")[0] not in known:
            node.get_logger().warning(f"parameter {name} was given but is none of this node's; it has no effect")
    return node_config(values)


def describe(parameter: Parameter) -> ParameterDescriptor:
    """Return what `ros2 param describe` shows, and what rclpy enforces."""
    descriptor = ParameterDescriptor(
        name=parameter.name,
        type=_TYPES[parameter.kind],
        description=parameter.description,
        additional_constraints=f"one of {parameter.range_text}" if parameter.choices else "",
        read_only=True,
    )
    if parameter.minimum is not None and parameter.maximum is not None:
        if parameter.kind is int:
            limits = IntegerRange(from_value=int(parameter.minimum), to_value=int(parameter.maximum), step=1)
            descriptor.integer_range = [limits]
        else:
            limits = FloatingPointRange(from_value=float(parameter.minimum), to_value=float(parameter.maximum))
            descriptor.floating_point_range = [limits]
    return descriptor


def _declare(node: Node, parameter: Parameter) -> Any:
    default: Any = parameter.default
    if parameter.kind is tuple:
        default = list(default) or [""]  # an empty list has no type in ROS
    try:
        return node.declare_parameter(parameter.name, default, describe(parameter)).value
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        expected = parameter.range_text or ("a list of words" if parameter.kind is tuple else parameter.kind.__name__)
        raise ConfigError(f"parameter {parameter.name}: {error} Expected {expected}.") from error
