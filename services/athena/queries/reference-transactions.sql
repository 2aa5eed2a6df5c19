-- The result on which the predecessor's readers rely: every row and every column of the published file, as text.
SELECT * FROM {table}
