-- A copy of a database must not read a live phone system nor keep its password.
UPDATE pbx_backend
   SET active = false,
       db_host = NULL,
       db_user = NULL,
       db_password_stored = NULL,
       db_ca_certificate = NULL,
       next_pull_at = NULL;
