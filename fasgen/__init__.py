"""fasgen: an offline, Ray-distributed pipeline that turns folders of faces into face anti-spoofing training data."""

__version__ = "0.1.0"
