"""Jobs that turn a corpus into shards of tokens: planned, done task by task, resumed.

folder      the files of a job, and which tasks are done
plan        inputs -> items -> tasks, the same on a restart
encoding    the items of a task -> rows -> a shard
local       runs tasks on this machine
ray_engine  runs tasks on a Ray cluster
"""
