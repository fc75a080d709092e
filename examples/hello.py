"""A workflow of two tasks."""

from flytekit import task, workflow


@task
def greet(name: str) -> str:
    print(f"hello {name}", flush=True)
    return f"hello {name}"


@task
def shout(text: str) -> str:
    return text.upper()


@workflow
def hello(name: str = "you") -> str:
    return shout(text=greet(name=name))
