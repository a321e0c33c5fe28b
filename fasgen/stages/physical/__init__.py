"""Simulation of presentation attacks: what print, paper, display and camera do to a face, computed from a live photograph.

Everything this package makes is simulated. No print was made and no screen was filmed.
"""
