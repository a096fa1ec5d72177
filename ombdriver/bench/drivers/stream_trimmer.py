"""stub"""


class StreamTrimmer:
    pass
