def forest(rows, against, path):
    pass


def profiles(curves, path):
    pass


def heat(names, tasks, scores, path):
    pass


def rates(curves, path):
    pass
