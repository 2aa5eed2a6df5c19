-- The query of every dataset without its own file, which is named <dataset>.sql.
-- {table}, {typed} and {analysis} are replaced by the dataset's table and its views.
SELECT * FROM {table}
