"""Collects the simulated LibInsight with a declarative source of the Airbyte CDK, which prints its messages to stdout.

Usage: airbyte_source.py FIRST_DAY LAST_DAY FOLDER WORKERS

The config and catalog files of the CDK's `read` command are written to FOLDER. There is no destination.
"""

import json
import os
import sys

from airbyte_cdk.entrypoint import launch
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource
from libinsight import BASE_URL, CLIENT_ID, CLIENT_SECRET, PARAMS, PATH, windows

first_day, last_day, folder, workers = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
# The CDK reads windows concurrently but the pages of a window sequentially, so short windows keep all workers busy.
months = 1 if workers > 1 else 12

manifest = {
    "version": "7.0.0",
    "type": "DeclarativeSource",
    "check": {"type": "CheckStream", "stream_names": ["records"]},
    "spec": {
        "type": "Spec",
        "connection_specification": {
            "type": "object",
            "properties": {
                "client_id": {"type": "string"},
                "client_secret": {"type": "string", "airbyte_secret": True},
            },
        },
    },
    "concurrency_level": {"type": "ConcurrencyLevel", "default_concurrency": workers},
    "streams": [
        {
            "type": "DeclarativeStream",
            "name": "records",
            "primary_key": "_id",
            "schema_loader": {
                "type": "InlineSchemaLoader",
                "schema": {"type": "object", "additionalProperties": True, "properties": {}},
            },
            "retriever": {
                "type": "SimpleRetriever",
                "requester": {
                    "type": "HttpRequester",
                    "url_base": BASE_URL,
                    "path": PATH,
                    "http_method": "GET",
                    "authenticator": {
                        "type": "OAuthAuthenticator",
                        "grant_type": "client_credentials",
                        "token_refresh_endpoint": f"{BASE_URL}/oauth/token",
                        "client_id": "{{ config['client_id'] }}",
                        "client_secret": "{{ config['client_secret'] }}",
                    },
                    "request_parameters": {
                        **PARAMS,
                        "from": "{{ stream_partition['window'].split('/')[0] }}",
                        "to": "{{ stream_partition['window'].split('/')[1] }}",
                    },
                },
                "partition_router": {
                    "type": "ListPartitionRouter",
                    "cursor_field": "window",
                    "values": [f"{first}/{last}" for first, last in windows(first_day, last_day, months)],
                },
                "record_selector": {
                    "type": "RecordSelector",
                    "extractor": {"type": "DpathExtractor", "field_path": ["payload", "records"]},
                },
                "paginator": {
                    "type": "DefaultPaginator",
                    "page_token_option": {
                        "type": "RequestOption",
                        "inject_into": "request_parameter",
                        "field_name": "page",
                    },
                    "pagination_strategy": {
                        "type": "PageIncrement",
                        "page_size": 100,
                        "start_from_page": 1,
                        "inject_on_first_request": True,
                    },
                },
            },
        }
    ],
}
catalog = {
    "streams": [
        {
            "stream": {"name": "records", "json_schema": {}, "supported_sync_modes": ["full_refresh"]},
            "sync_mode": "full_refresh",
            "destination_sync_mode": "overwrite",
        }
    ]
}
config = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


def write_json(name: str, value) -> str:
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        json.dump(value, file)
    return path


source = ConcurrentDeclarativeSource(
    catalog=ConfiguredAirbyteCatalogSerializer.load(catalog), config=config, state=[], source_config=manifest
)
args = ["read", "--config", write_json("config.json", config), "--catalog", write_json("catalog.json", catalog)]
launch(source, args)
