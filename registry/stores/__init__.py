"""Where objects lie: a folder (folder.py) or an S3 bucket (bucket.py), behind `objects.ObjectStore`."""
