# Data as programs have it: modules, records, a table all instances share, bytes of its own.
import array, asyncio, decimal, email.message, http.client, json, os, signal, sqlite3, xml.dom.minidom

records = {i: {"name": f"user {i}", "tags": ["a", "b", i % 7], "score": i * 0.5} for i in range(100_000)}
table = array.array("d", range(4_000_000))
own = os.urandom(8 << 20)
print("ready", flush=True)
signal.pause()
