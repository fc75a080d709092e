"""A workflow of two tasks, the second one over a list."""

from typing import List

from flytekit import map_task, task, workflow


@task
def letters(name: str) -> List[str]:
    print(f"hello {name}", flush=True)
    return list(name)


@task
def upper(letter: str) -> str:
    return letter.upper()


@workflow
def hello(name: str = "you") -> List[str]:
    return map_task(upper)(letter=letters(name=name))
