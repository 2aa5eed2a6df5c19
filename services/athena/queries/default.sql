-- The query of a dataset that has no file of its own here. A file of its own is named <dataset>.sql.
-- {table}, {typed} and {analysis} stand for the dataset's table and its views.
SELECT * FROM {table}
