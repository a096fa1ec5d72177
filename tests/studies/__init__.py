"""Studies of docs/studies whose figures a command makes: `make study-omb` and `make study-claims`.

Each keeps its figures as JSON beside its page, and makes the tables of the page from them alone; so a page can be made
again without measuring, and a test holds it to its figures.
"""
