-- PLACEHOLDER, owner: W (workers)
SELECT 1;
