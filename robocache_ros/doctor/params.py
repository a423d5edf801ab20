# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A parameters file as the node would read it, and what is wrong with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from robocache_ros.config import Config, ConfigError, ImageSource, SourceConfig
from robocache_ros.config.params_file import read_params_file
from robocache_ros.doctor.finding import Finding, Level, error, fine, told, warning

ABOUT = 'parameters'


@dataclass(frozen=True)
class Params:
    """What a file gives a node, and the findings about it."""

    node: str
    flat: Mapping[str, Any] = field(default_factory=dict)
    config: Config | None = None  # None: there is no file, or it is refused
    findings: tuple[Finding, ...] = ()

    @property
    def encoder_devices(self) -> list[str]:
        """The devices that encoders are to run on."""
        sources = self.config.sources if self.config else ()
        images = (source for source in sources if isinstance(source, ImageSource))
        return [source.encoder.device for source in images if source.encoder.path]


def read_params(path: str, node: str) -> Params:
    """Read the parameters of a node; whatever is wrong becomes a finding."""
    heard = _Heard()
    log = logging.getLogger('robocache_ros')
    log.addHandler(heard)
    try:
        flat = read_params_file(path, node)
    except ConfigError as unreadable:
        finding = error(ABOUT, f'{unreadable}.', 'Give --params a file of ROS parameters.')
        return Params(node, findings=(finding,))
    finally:
        log.removeHandler(heard)
    try:
        config = Config.from_mapping(flat)
    except ConfigError as refused:
        return Params(node, findings=tuple(_refusals(refused.problems)))
    clashes = tuple(_clashes(config, node))
    if clashes:
        return Params(node, findings=clashes)
    notices = [
        told(Level.WARNING, ABOUT, text) for text in (*heard.sentences, *config.notices(flat))
    ]
    names = ', '.join(source.name for source in config.sources)
    notices = notices or [fine(ABOUT, f'{path} is accepted for {node}: {names}.')]
    return Params(node, flat, config, tuple(notices))


def judge_pipeline(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge whether the files that the parameters name can be used, see config_facts."""
    yield from _refusals(facts.get('refused', ()))
    if facts.get('hung'):
        yield warning(
            ABOUT,
            f'The files that the parameters name: {facts["failed"]}.',
            'Look at the files of encoders and calibrations, and at where they are kept.',
        )
    elif 'failed' in facts:
        fix = 'This is a bug in robocache_ros; please report it.'
        yield error(ABOUT, f'The pipeline can not be made: {facts["failed"]}.', fix)


def _refusals(problems: Any) -> Iterator[Finding]:
    for problem in problems:
        sentence = f'Refused: {problem}.'.replace('..', '.')
        yield error(ABOUT, sentence, 'Change it; docs/parameters.md has what is allowed.')


def _clashes(config: Config, node: str) -> Iterator[Finding]:
    """Find topics that are read as two types, which no middleware can do."""
    readers: dict[str, SourceConfig] = {}
    namespace = node.rpartition('/')[0]
    for source in config.sources:
        topic = source.topic
        if topic.startswith('~'):
            topic = f'{node}{topic[1:]}'
        elif not topic.startswith('/'):
            topic = f'{namespace}/{topic}'
        first = readers.setdefault(topic, source)
        if first.message != source.message:
            yield error(
                ABOUT,
                f'{first.name} reads {topic} as {first.message}, and {source.name} as '
                f'{source.message}: a topic has one type.',
                f'Set {first.name}.topic or {source.name}.topic.',
            )


class _Heard(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.sentences: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.sentences.append(record.getMessage())
