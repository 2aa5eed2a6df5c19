-- Every row and column of the published file as text. Readers of the predecessor's result rely on this.
SELECT * FROM {table}
