/* shape_builtin.c: the types every server has under the same OID.
 *
 * Taken from the pg_type of a PostgreSQL 15 server: base, range and multirange types below OID
 * 10000 (from there on each initdb numbers its own), and the few pseudo-types that a result can
 * have. tests/integration/row_to_json.c compares the table with the server. */
#include "shape_catalog.h"

/* OID, kind, [delimiter, element's OID,] name. The element of anyarray is in no column description:
 * its values count as text. */
#define BUILTIN_TYPES(TYPE, LIST)                                                                  \
    TYPE(16, BOOLEAN, "boolean")                                                                   \
    TYPE(17, TEXT, "bytea")                                                                        \
    TYPE(18, TEXT, "\"char\"")                                                                     \
    TYPE(19, TEXT, "name")                                                                         \
    TYPE(20, NUMBER, "bigint")                                                                     \
    TYPE(21, NUMBER, "smallint")                                                                   \
    LIST(22, VECTOR, ',', 21, "int2vector")                                                        \
    TYPE(23, NUMBER, "integer")                                                                    \
    TYPE(24, TEXT, "regproc")                                                                      \
    TYPE(25, TEXT, "text")                                                                         \
    TYPE(26, TEXT, "oid")                                                                          \
    TYPE(27, TEXT, "tid")                                                                          \
    TYPE(28, TEXT, "xid")                                                                          \
    TYPE(29, TEXT, "cid")                                                                          \
    LIST(30, VECTOR, ',', 26, "oidvector")                                                         \
    TYPE(114, JSON, "json")                                                                        \
    TYPE(142, TEXT, "xml")                                                                         \
    LIST(143, ARRAY, ',', 142, "xml[]")                                                            \
    TYPE(194, TEXT, "pg_node_tree")                                                                \
    LIST(199, ARRAY, ',', 114, "json[]")                                                           \
    LIST(271, ARRAY, ',', 5069, "xid8[]")                                                          \
    TYPE(600, TEXT, "point")                                                                       \
    TYPE(601, TEXT, "lseg")                                                                        \
    TYPE(602, TEXT, "path")                                                                        \
    TYPE(603, TEXT, "box")                                                                         \
    TYPE(604, TEXT, "polygon")                                                                     \
    TYPE(628, TEXT, "line")                                                                        \
    LIST(629, ARRAY, ',', 628, "line[]")                                                           \
    TYPE(650, TEXT, "cidr")                                                                        \
    LIST(651, ARRAY, ',', 650, "cidr[]")                                                           \
    TYPE(700, NUMBER, "real")                                                                      \
    TYPE(701, NUMBER, "double precision")                                                          \
    TYPE(718, TEXT, "circle")                                                                      \
    LIST(719, ARRAY, ',', 718, "circle[]")                                                         \
    TYPE(774, TEXT, "macaddr8")                                                                    \
    LIST(775, ARRAY, ',', 774, "macaddr8[]")                                                       \
    TYPE(790, TEXT, "money")                                                                       \
    LIST(791, ARRAY, ',', 790, "money[]")                                                          \
    TYPE(829, TEXT, "macaddr")                                                                     \
    TYPE(869, TEXT, "inet")                                                                        \
    LIST(1000, ARRAY, ',', 16, "boolean[]")                                                        \
    LIST(1001, ARRAY, ',', 17, "bytea[]")                                                          \
    LIST(1002, ARRAY, ',', 18, "\"char\"[]")                                                       \
    LIST(1003, ARRAY, ',', 19, "name[]")                                                           \
    LIST(1005, ARRAY, ',', 21, "smallint[]")                                                       \
    LIST(1006, ARRAY, ',', 22, "int2vector[]")                                                     \
    LIST(1007, ARRAY, ',', 23, "integer[]")                                                        \
    LIST(1008, ARRAY, ',', 24, "regproc[]")                                                        \
    LIST(1009, ARRAY, ',', 25, "text[]")                                                           \
    LIST(1010, ARRAY, ',', 27, "tid[]")                                                            \
    LIST(1011, ARRAY, ',', 28, "xid[]")                                                            \
    LIST(1012, ARRAY, ',', 29, "cid[]")                                                            \
    LIST(1013, ARRAY, ',', 30, "oidvector[]")                                                      \
    LIST(1014, ARRAY, ',', 1042, "character[]")                                                    \
    LIST(1015, ARRAY, ',', 1043, "character varying[]")                                            \
    LIST(1016, ARRAY, ',', 20, "bigint[]")                                                         \
    LIST(1017, ARRAY, ',', 600, "point[]")                                                         \
    LIST(1018, ARRAY, ',', 601, "lseg[]")                                                          \
    LIST(1019, ARRAY, ',', 602, "path[]")                                                          \
    LIST(1020, ARRAY, ';', 603, "box[]")                                                           \
    LIST(1021, ARRAY, ',', 700, "real[]")                                                          \
    LIST(1022, ARRAY, ',', 701, "double precision[]")                                              \
    LIST(1027, ARRAY, ',', 604, "polygon[]")                                                       \
    LIST(1028, ARRAY, ',', 26, "oid[]")                                                            \
    TYPE(1033, TEXT, "aclitem")                                                                    \
    LIST(1034, ARRAY, ',', 1033, "aclitem[]")                                                      \
    LIST(1040, ARRAY, ',', 829, "macaddr[]")                                                       \
    LIST(1041, ARRAY, ',', 869, "inet[]")                                                          \
    TYPE(1042, TEXT, "character")                                                                  \
    TYPE(1043, TEXT, "character varying")                                                          \
    TYPE(1082, TEXT, "date")                                                                       \
    TYPE(1083, TEXT, "time without time zone")                                                     \
    TYPE(1114, TIMESTAMP, "timestamp without time zone")                                           \
    LIST(1115, ARRAY, ',', 1114, "timestamp without time zone[]")                                  \
    LIST(1182, ARRAY, ',', 1082, "date[]")                                                         \
    LIST(1183, ARRAY, ',', 1083, "time without time zone[]")                                       \
    TYPE(1184, TIMESTAMPTZ, "timestamp with time zone")                                            \
    LIST(1185, ARRAY, ',', 1184, "timestamp with time zone[]")                                     \
    TYPE(1186, TEXT, "interval")                                                                   \
    LIST(1187, ARRAY, ',', 1186, "interval[]")                                                     \
    LIST(1231, ARRAY, ',', 1700, "numeric[]")                                                      \
    LIST(1263, ARRAY, ',', 2275, "cstring[]")                                                      \
    TYPE(1266, TEXT, "time with time zone")                                                        \
    LIST(1270, ARRAY, ',', 1266, "time with time zone[]")                                          \
    TYPE(1560, TEXT, "bit")                                                                        \
    LIST(1561, ARRAY, ',', 1560, "bit[]")                                                          \
    TYPE(1562, TEXT, "bit varying")                                                                \
    LIST(1563, ARRAY, ',', 1562, "bit varying[]")                                                  \
    TYPE(1700, NUMBER, "numeric")                                                                  \
    TYPE(1790, TEXT, "refcursor")                                                                  \
    LIST(2201, ARRAY, ',', 1790, "refcursor[]")                                                    \
    TYPE(2202, TEXT, "regprocedure")                                                               \
    TYPE(2203, TEXT, "regoper")                                                                    \
    TYPE(2204, TEXT, "regoperator")                                                                \
    TYPE(2205, TEXT, "regclass")                                                                   \
    TYPE(2206, TEXT, "regtype")                                                                    \
    LIST(2207, ARRAY, ',', 2202, "regprocedure[]")                                                 \
    LIST(2208, ARRAY, ',', 2203, "regoper[]")                                                      \
    LIST(2209, ARRAY, ',', 2204, "regoperator[]")                                                  \
    LIST(2210, ARRAY, ',', 2205, "regclass[]")                                                     \
    LIST(2211, ARRAY, ',', 2206, "regtype[]")                                                      \
    TYPE(2249, TEXT, "record")                                                                     \
    TYPE(2275, TEXT, "cstring")                                                                    \
    LIST(2277, ARRAY, ',', 25, "anyarray")                                                         \
    TYPE(2278, TEXT, "void")                                                                       \
    LIST(2287, ARRAY, ',', 2249, "record[]")                                                       \
    LIST(2949, ARRAY, ',', 2970, "txid_snapshot[]")                                                \
    TYPE(2950, TEXT, "uuid")                                                                       \
    LIST(2951, ARRAY, ',', 2950, "uuid[]")                                                         \
    TYPE(2970, TEXT, "txid_snapshot")                                                              \
    TYPE(3220, TEXT, "pg_lsn")                                                                     \
    LIST(3221, ARRAY, ',', 3220, "pg_lsn[]")                                                       \
    TYPE(3361, TEXT, "pg_ndistinct")                                                               \
    TYPE(3402, TEXT, "pg_dependencies")                                                            \
    TYPE(3614, TEXT, "tsvector")                                                                   \
    TYPE(3615, TEXT, "tsquery")                                                                    \
    TYPE(3642, TEXT, "gtsvector")                                                                  \
    LIST(3643, ARRAY, ',', 3614, "tsvector[]")                                                     \
    LIST(3644, ARRAY, ',', 3642, "gtsvector[]")                                                    \
    LIST(3645, ARRAY, ',', 3615, "tsquery[]")                                                      \
    TYPE(3734, TEXT, "regconfig")                                                                  \
    LIST(3735, ARRAY, ',', 3734, "regconfig[]")                                                    \
    TYPE(3769, TEXT, "regdictionary")                                                              \
    LIST(3770, ARRAY, ',', 3769, "regdictionary[]")                                                \
    TYPE(3802, JSON, "jsonb")                                                                      \
    LIST(3807, ARRAY, ',', 3802, "jsonb[]")                                                        \
    TYPE(3904, TEXT, "int4range")                                                                  \
    LIST(3905, ARRAY, ',', 3904, "int4range[]")                                                    \
    TYPE(3906, TEXT, "numrange")                                                                   \
    LIST(3907, ARRAY, ',', 3906, "numrange[]")                                                     \
    TYPE(3908, TEXT, "tsrange")                                                                    \
    LIST(3909, ARRAY, ',', 3908, "tsrange[]")                                                      \
    TYPE(3910, TEXT, "tstzrange")                                                                  \
    LIST(3911, ARRAY, ',', 3910, "tstzrange[]")                                                    \
    TYPE(3912, TEXT, "daterange")                                                                  \
    LIST(3913, ARRAY, ',', 3912, "daterange[]")                                                    \
    TYPE(3926, TEXT, "int8range")                                                                  \
    LIST(3927, ARRAY, ',', 3926, "int8range[]")                                                    \
    TYPE(4072, TEXT, "jsonpath")                                                                   \
    LIST(4073, ARRAY, ',', 4072, "jsonpath[]")                                                     \
    TYPE(4089, TEXT, "regnamespace")                                                               \
    LIST(4090, ARRAY, ',', 4089, "regnamespace[]")                                                 \
    TYPE(4096, TEXT, "regrole")                                                                    \
    LIST(4097, ARRAY, ',', 4096, "regrole[]")                                                      \
    TYPE(4191, TEXT, "regcollation")                                                               \
    LIST(4192, ARRAY, ',', 4191, "regcollation[]")                                                 \
    TYPE(4451, TEXT, "int4multirange")                                                             \
    TYPE(4532, TEXT, "nummultirange")                                                              \
    TYPE(4533, TEXT, "tsmultirange")                                                               \
    TYPE(4534, TEXT, "tstzmultirange")                                                             \
    TYPE(4535, TEXT, "datemultirange")                                                             \
    TYPE(4536, TEXT, "int8multirange")                                                             \
    TYPE(4600, TEXT, "pg_brin_bloom_summary")                                                      \
    TYPE(4601, TEXT, "pg_brin_minmax_multi_summary")                                               \
    TYPE(5017, TEXT, "pg_mcv_list")                                                                \
    TYPE(5038, TEXT, "pg_snapshot")                                                                \
    LIST(5039, ARRAY, ',', 5038, "pg_snapshot[]")                                                  \
    TYPE(5069, TEXT, "xid8")                                                                       \
    LIST(6150, ARRAY, ',', 4451, "int4multirange[]")                                               \
    LIST(6151, ARRAY, ',', 4532, "nummultirange[]")                                                \
    LIST(6152, ARRAY, ',', 4533, "tsmultirange[]")                                                 \
    LIST(6153, ARRAY, ',', 4534, "tstzmultirange[]")                                               \
    LIST(6155, ARRAY, ',', 4535, "datemultirange[]")                                               \
    LIST(6157, ARRAY, ',', 4536, "int8multirange[]")

enum {
#define TYPE(oid, ...) AT_##oid,
    BUILTIN_TYPES(TYPE, TYPE)
#undef TYPE
        BUILTIN_COUNT
};

static const shape builtin[] = {
#define TYPE(number, how, name) {.oid = number, .type_name = name, .kind = SHAPE_##how},
#define LIST(number, how, separator, of, name)                                                     \
    {.oid = number,                                                                                \
     .type_name = name,                                                                            \
     .kind = SHAPE_##how,                                                                          \
     .delimiter = separator,                                                                       \
     .element = &builtin[AT_##of]},
    BUILTIN_TYPES(TYPE, LIST)
#undef TYPE
#undef LIST
};

const shape *shape_builtin(uint32_t oid)
{
    size_t low = 0, high = BUILTIN_COUNT;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (builtin[middle].oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < BUILTIN_COUNT && builtin[low].oid == oid ? &builtin[low] : NULL;
}

const shape *shape_builtin_at(uint32_t index)
{
    return index < BUILTIN_COUNT ? &builtin[index] : NULL;
}

uint32_t shape_builtin_count(void)
{
    return BUILTIN_COUNT;
}
