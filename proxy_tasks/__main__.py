"""Print the catalogue: `python -m proxy_tasks > proxy_tasks/TASKS.md`."""

from proxy_tasks.catalogue import page

if __name__ == "__main__":
    print(page(), end="")
