"""Collects the simulated LibInsight with dlt into Parquet files.

Usage: dlt_pipeline.py FIRST_DAY LAST_DAY FOLDER WORKERS

The first page of each window contains the number of pages; dlt's thread pool fetches the others. Prints the number of records
as JSON.
"""

import json
import os
import sys

first_day, last_day, folder, workers = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4]

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["EXTRACT__WORKERS"] = workers

import dlt
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import OAuth2ClientCredentials
from libinsight import BASE_URL, CLIENT_ID, CLIENT_SECRET, PARAMS, PATH, windows

client = RESTClient(
    base_url=BASE_URL,
    auth=OAuth2ClientCredentials(
        access_token_url=f"{BASE_URL}/oauth/token", client_id=CLIENT_ID, client_secret=CLIENT_SECRET
    ),
)


def payload_of(first: str, last: str, page: int) -> dict:
    response = client.get(PATH, params={**PARAMS, "from": first, "to": last, "page": page})
    response.raise_for_status()
    return response.json()["payload"]


@dlt.defer
def records_of(first: str, last: str, page: int) -> list:
    return payload_of(first, last, page)["records"]


# Lists stay JSON in one table, because the published files have one row per record.
@dlt.resource(max_table_nesting=0)
def records():
    for first, last in windows(first_day, last_day):
        payload = payload_of(first, last, 1)
        yield payload["records"]
        for page in range(2, payload["total_pages"] + 1):
            yield records_of(first, last, page)


if __name__ == "__main__":
    pipeline = dlt.pipeline(
        pipeline_name="libinsight",
        pipelines_dir=os.path.join(folder, "state"),
        destination=dlt.destinations.filesystem(bucket_url=os.path.join(folder, "out")),
        dataset_name="libinsight",
    )
    pipeline.run(records(), loader_file_format="parquet")
    print(json.dumps({"records": pipeline.last_trace.last_normalize_info.row_counts["records"]}))
