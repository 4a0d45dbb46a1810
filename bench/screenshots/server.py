# A server as there are many: modules, records, tables that all have, something of its own.
import array, asyncio, decimal, email.message, http.client, json, os, random, sqlite3, sys, time, xml.dom.minidom

records = {i: {"name": f"user {i}", "tags": ["a", "b", i % 7], "score": i * 0.5} for i in range(60_000)}
table = array.array("d", range(6_000_000))
own = bytearray(os.urandom(24 << 20))
random.seed(int(sys.argv[1]))
while True:
    table[random.randrange(len(table))] += 1
    own[random.randrange(len(own))] ^= 1
    time.sleep(0.2)
