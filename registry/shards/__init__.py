"""Shards: signed Parquet files of text records, their columns, blocks, record root, writer and verified reader."""
