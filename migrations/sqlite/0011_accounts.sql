-- PLACEHOLDER, owner: A (accounts)
SELECT 1;
