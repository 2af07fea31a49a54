-- PLACEHOLDER, owner: H (hygiene)
SELECT 1;
