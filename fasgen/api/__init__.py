"""What `import fasgen` offers to Python: runs, stores and single stages. Nothing beneath it is promised."""
