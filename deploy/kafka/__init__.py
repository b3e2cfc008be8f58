"""Apache Kafka as we run it: its jars and their hashes, the embedded broker's settings, our topics."""
