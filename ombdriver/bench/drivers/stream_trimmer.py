"""stub"""
class StreamTrimmer: pass
