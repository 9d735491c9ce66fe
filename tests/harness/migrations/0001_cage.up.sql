CREATE TABLE cage (id int PRIMARY KEY, bird text NOT NULL);
