"""Reference trainers that prove the cues, and the field's metrics.

This room knows the packed format through ``fasgen.reader`` alone, and no stage. Importing it imports nothing heavy.
"""
