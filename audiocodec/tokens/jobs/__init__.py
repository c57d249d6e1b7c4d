"""Jobs that turn a corpus into shards of tokens: planned, done part by part, resumed.

folder      what lies in the folder of a job, and what of it is done
plan        inputs -> items -> parts; a restart finds the same ones
encoding    the items of a part -> rows -> a shard
local       the parts on this machine
ray_engine  the same parts on a Ray cluster
"""
