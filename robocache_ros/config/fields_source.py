# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration of a source whose messages are vectors, made from the entry of its type."""

from __future__ import annotations

from dataclasses import dataclass, make_dataclass
from dataclasses import fields as fields_of
from functools import cache
from typing import Any, ClassVar

from robocache_ros.config.message_types import MessageType, Row
from robocache_ros.config.parameters import Problems, listed, parameter
from robocache_ros.config.rows import MAX_WIDTH
from robocache_ros.config.source import (
    SourceConfig,
    depth_parameter,
    stamp_parameter,
    wait_parameter,
)


@dataclass(frozen=True)
class FieldsSource(SourceConfig):
    """A topic whose messages become a vector, a group of features for each row of their type."""

    about: ClassVar[MessageType]

    depth: int = depth_parameter(200)
    wait: str = wait_parameter('until_t_ref')

    def __init_subclass__(cls) -> None:
        cls.type, cls.topic_suffix = cls.about.type, cls.about.topic_suffix
        cls.message = cls.about.message

    def __post_init__(self) -> None:
        problems = Problems()
        for width in self.about.widths:
            problems.check(
                getattr(self, width.name) is not None,
                f'{self.name}.{width.name} is missing: {width.description}',
            )
        problems.refuse()
        super().__post_init__()

    def _check(self, problems: Problems) -> None:
        names = [f'{self.name}.{width.name}' for width in self.about.widths]
        problems.check(
            len(self.rows) > 0, f'{listed(names)} must not all be 0: there would be no feature'
        )

    @property
    def widths(self) -> dict[str, int]:
        """How many elements of arrays are features, by parameter."""
        return {width.name: getattr(self, width.name) for width in self.about.widths}

    @property
    def rows(self) -> tuple[Row, ...]:
        """The groups of features there are: an array of which no element is wanted is none."""
        return tuple(row for row in self.about.rows if row.width(self.widths))


@cache
def source_class(about: MessageType) -> type[FieldsSource]:
    """Return the configuration of sources of this type; the same class every time."""
    own: list[tuple[str, Any, Any]] = [('wait', str, wait_parameter(about.wait))]
    if not about.stamped:
        own.append(('stamp', str, stamp_parameter('receive', about.message)))
    own += [(width.name, int, _width_parameter(width.default, width.description))
            for width in about.widths]  # fmt: skip
    made = make_dataclass(
        f'{about.message.rpartition("/")[2]}Source',
        own,
        bases=(FieldsSource,),
        frozen=True,
        namespace={
            'about': about,
            '__doc__': f'A {about.message} topic.',
            '__reduce__': _reduced,
        },
    )
    assert issubclass(made, FieldsSource)
    return made


def _width_parameter(default: int | None, description: str) -> Any:
    return parameter(
        default,
        description,
        kind='integer',
        unit='values',
        low=0,
        high=MAX_WIDTH,
        default_text='none: has to be given' if default is None else '',
    )


def _reduced(source: FieldsSource) -> tuple[Any, ...]:
    """Pickle by the entry of the type: the class was made from it and is in no module."""
    values = {field.name: getattr(source, field.name) for field in fields_of(source)}
    return _restored, (source.about, values)


def _restored(about: MessageType, values: dict[str, Any]) -> FieldsSource:
    return source_class(about)(**values)
