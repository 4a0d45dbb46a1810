import java.util.HashMap;
import java.util.Map;
import java.util.Random;

/** Data as programs have it: records, a table all instances share, bytes of its own. */
class Hold {
	record User(String name, int tag, double score) {}

	public static void main(String[] args) throws InterruptedException {
		Map<Integer, User> records = new HashMap<>();
		for (int i = 0; i < 200_000; i++) records.put(i, new User("user " + i, i % 7, i * 0.5));
		long[] table = new long[4_000_000];
		for (int i = 0; i < table.length; i++) table[i] = i;
		byte[] own = new byte[8 << 20];
		new Random().nextBytes(own);
		System.out.println("ready");
		Thread.sleep(Long.MAX_VALUE);
		System.out.println(records.size() + table.length + own.length);
	}
}
