"""PostgreSQL and a Kafka broker for laptops and tests, and what keeps processes running there.

Everything here is started by `gateway dev` and by the tests; no role imports it. The application
knows nothing but `DATABASE_URL` and `KAFKA_BOOTSTRAP_SERVERS`, and where a person has set those,
`ExternalPostgres` and `ExternalKafka` stand in for the servers.
"""

from gateway.embedded.apache_cluster import ApacheCluster
from gateway.embedded.apache_kafka import ApacheKafka
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.external import ExternalKafka, ExternalPostgres
from gateway.embedded.kafka import Noida
from gateway.embedded.postgres import Postgres
from gateway.embedded.program import Program
from gateway.embedded.server import Server
from gateway.embedded.supervisor import Supervisor, ending_signals

__all__ = [
    "ApacheCluster",
    "ApacheKafka",
    "EmbeddedError",
    "ExternalKafka",
    "ExternalPostgres",
    "Noida",
    "Postgres",
    "Program",
    "Server",
    "Supervisor",
    "ending_signals",
]
