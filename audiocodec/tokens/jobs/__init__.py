"""Jobs that turn a corpus into shards of tokens: planned, done task by task, resumed.

folder      what lies in the folder of a job, and what of it is done
plan        inputs -> items -> tasks; a restart finds the same ones
encoding    the items of a task -> rows -> a shard
local       the tasks on this machine
ray_engine  the same tasks on a Ray cluster
"""
