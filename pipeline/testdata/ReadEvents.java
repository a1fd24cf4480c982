import com.fasterxml.jackson.databind.ObjectMapper;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructField;

/**
 * Loads the events and the pictures of outputs with the statements of docs/outputs.md, and prints
 * what Spark sees, as read_events.py does, and some values of each event.
 */
public class ReadEvents {
    static final String PATH = "hdfs://namenode:8020/faces";
    static final String VALUES = "SELECT topic, offset, face, camera, box.x, box.width, printf('%.6f', box_normalized.width)"
            + " FROM events ORDER BY topic, partition, offset, face";

    public static void main(String[] args) throws Exception {
        SparkSession spark = SparkSession.builder().master("local[1]").appName("events")
                .config("spark.ui.enabled", false).config("spark.driver.host", "127.0.0.1")
                .config("spark.sql.session.timeZone", "UTC").config("spark.sql.shuffle.partitions", 1).getOrCreate();
        for (String output : List.of(args).subList(2, args.length)) {
            String offset = output.substring(output.lastIndexOf('-') + 1); // of the picture
            String[] events = args[0].replace(PATH, output).split(";");
            String[] pictures = args[1].replace("41", offset).replace(PATH, output).split(";");
            spark.sql(events[0]);
            Map<String, String> types = new TreeMap<>();
            for (StructField field : spark.table("events").schema().fields()) {
                types.put(field.name(), field.dataType().sql());
            }
            List<String> values = new ArrayList<>();
            for (Row row : spark.sql(VALUES).collectAsList()) {
                values.add(row.mkString(" "));
            }
            spark.sql(pictures[0]);
            byte[] picture = (byte[]) spark.sql(pictures[1]).collectAsList().get(0).get(0);
            String saved = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(picture));
            System.out.println(new ObjectMapper().writeValueAsString(Map.of(
                    "output", output, "reader", "Spark", "rows", byCamera(spark.sql(events[1])), "types", types,
                    "pictures", byCamera(spark.sql(pictures[2])), "saved", saved, "values", values)));
        }
        spark.stop();
    }

    /** The other columns of rows by the first one. */
    static Map<String, List<Object>> byCamera(Dataset<Row> rows) {
        Map<String, List<Object>> all = new TreeMap<>();
        for (Row row : rows.collectAsList()) {
            List<Object> columns = new ArrayList<>();
            for (int i = 1; i < row.size(); i++) {
                columns.add(row.get(i));
            }
            all.put(row.getString(0), columns);
        }
        return all;
    }
}
