"""Align: from a photograph or video frame to one upright face crop."""
