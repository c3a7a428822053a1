-- Copies of the laboratory's calls, each %(shift)s seconds before the one after it,
-- with client numbers of their own; the last one ends a minute ago.
CREATE FUNCTION pg_temp.number(text, integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT replace(replace(replace($1,
        '999555', '9' || lpad(($2 * 37 %% 100000)::text, 5, '0')),
        '912000', '91' || lpad(($2 %% 10000)::text, 4, '0')),
        '176040', '17' || lpad(($2 %% 10000)::text, 4, '0')) $$;
CREATE FUNCTION pg_temp.thread(text, bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN $1 ~ '^\d{10}\.\d+$'
        THEN (split_part($1, '.', 1)::bigint + $2)::text || '.' || split_part($1, '.', 2)
        ELSE $1 END $$;
CREATE TEMP TABLE delta AS
    SELECT n, (floor(extract(epoch FROM now() AT TIME ZONE 'Europe/Moscow'))
               - ceil(extract(epoch FROM newest)) - 60 - n * %(shift)s)::bigint AS s
      FROM (SELECT max("time"::timestamp) AS newest FROM lab_queue_log) q,
           generate_series(0, %(copies)s - 1) n;
INSERT INTO cdr
SELECT calldate + make_interval(secs => s), pg_temp.number(clid, n),
       pg_temp.number(src, n), pg_temp.number(dst, n), dcontext, channel, dstchannel,
       lastapp, pg_temp.number(lastdata, n), duration, billsec, disposition, amaflags,
       accountcode, pg_temp.thread(uniqueid, s), pg_temp.thread(linkedid, s),
       peeraccount, sequence, userfield
  FROM lab_cdr, delta ORDER BY 1;
INSERT INTO queue_log ("time", callid, queuename, agent, event, data, data1, data2,
                       data3, data4, data5)
SELECT to_char("time"::timestamp + make_interval(secs => s), 'YYYY-MM-DD HH24:MI:SS.US'),
       pg_temp.thread(callid, s), queuename, agent, event, data, data1,
       pg_temp.thread(pg_temp.number(data2, n), s), data3, data4, data5
  FROM lab_queue_log, delta ORDER BY 1;
CREATE INDEX ON cdr (calldate);
CREATE INDEX ON queue_log ("time");
