// Data as programs have it: modules, records, a table all instances share, bytes of its own.
const modules = ['http', 'crypto', 'zlib', 'worker_threads'].map(require);
const records = new Map();
for (let i = 0; i < 200_000; i++) records.set(i, { name: `user ${i}`, tags: ['a', 'b', i % 7], score: i * 0.5 });
const table = Float64Array.from({ length: 4_000_000 }, (_, i) => i);
const own = require('crypto').randomBytes(8 << 20);
console.log('ready');
setInterval(() => [modules, records, table, own], 1 << 30);
